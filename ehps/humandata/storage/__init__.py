"""HumanData as bytes on disk: ``.h5``, the native storage, and ``.npz``, the exchange storage."""

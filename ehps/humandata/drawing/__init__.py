"""Images: persons on their images, pages of them, and keypoint conventions."""

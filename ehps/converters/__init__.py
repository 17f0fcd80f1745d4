"""From raw datasets to HumanData: the contract of a converter here; datasets, readers and the pipeline below."""

"""Models, data loading, training, test protocols, and the suite that runs a matrix of jobs."""

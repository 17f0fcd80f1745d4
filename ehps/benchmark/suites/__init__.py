"""The matrix of jobs: run folders, train sets x test sets x models, predictions and their evaluation."""

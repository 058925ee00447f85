"""The science: models, tasks and data sets. Nothing in here knows Ray or MLflow."""

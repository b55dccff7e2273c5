"""Follow runs in a tracker: Weights & Biases, MLflow, Trackio or TensorBoard."""

"""Finding the weights: one explicit loop, its optimisers, schedules, losses and checkpoints."""

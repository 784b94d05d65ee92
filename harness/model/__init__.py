"""What a method of a paper is: a model that yields stages and predicts."""

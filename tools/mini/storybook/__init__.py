"""The drawn storybook world of the mini model: drawing it, speaking about it, training on it, measuring in it."""

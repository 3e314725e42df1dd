"""What a component is: a file for each family."""

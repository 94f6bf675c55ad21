"""What a run would be: machine, model and rows settle a recipe and a plan. Knows no torch."""

"""What mined rows are written as: one file per format."""

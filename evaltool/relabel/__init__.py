"""What people decided about mined samples, applied to labels."""

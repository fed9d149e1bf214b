"""The numbers under every loss and metric: the log-odds of the label, exact in both tails."""

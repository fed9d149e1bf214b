"""What class imbalance does to a model, and what to do about it: one document, shown as page, Markdown and text."""

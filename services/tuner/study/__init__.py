"""Ask and tell: studies whose trials others carry out."""

"""The only part that touches a GPU or a clock."""

"""Figures of one's own: of data given to `widthlaw width`, and of trials by one's own function."""

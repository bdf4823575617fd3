"""Figures of one's own: of the data given to `widthlaw width`, and of trials by a function of one's own."""

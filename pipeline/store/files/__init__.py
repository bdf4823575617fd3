"""Files of stores: in a folder (`tree`, `folder`) or bucket (`bucket`, `s3`), and their checks."""

"""Files of stores: in a folder (`tree`, `folder`) or bucket (`bucket`, `s3`); for Zarr (`guarded`)."""

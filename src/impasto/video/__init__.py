"""Videos: reading and writing, optical flow, and frames that agree with the ones before."""

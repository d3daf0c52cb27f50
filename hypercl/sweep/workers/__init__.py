"""Ray: where trials and other runs are trained."""

"""hypercl's tests. A package, since hypnettorch installs one of this name, which would stand before a plain folder."""

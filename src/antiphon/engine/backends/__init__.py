"""One module or package per inference library; each library is imported nowhere else."""

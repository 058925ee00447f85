"""Scripts that another interpreter runs beside a checkout: they import nothing of ours."""

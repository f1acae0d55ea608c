"""What things are and what must happen: values in, values out.

No dagster, httpx, driver, clock or environment in here.
"""

"""Real frameworks behind the middleware, in process, with the test as server and client."""

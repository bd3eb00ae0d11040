"""The middleware on real servers: started by their own command lines, driven over real sockets."""

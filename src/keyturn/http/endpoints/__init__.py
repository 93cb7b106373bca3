"""What answers at each route; an endpoint takes the core, the request and the path's last segment, and gives a reply."""

"""What the API's reference says: the OpenAPI document and its page. Loaded when somebody asks for one of them."""

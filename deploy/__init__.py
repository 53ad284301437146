"""What an image is made of: locked versions, bill of materials, known faults, the copy of Swagger UI."""

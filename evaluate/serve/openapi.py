"""The OpenAPI document of the HTTP interface, made of the same types that check its requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from featx import __version__

from .api import Endpoint


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Returns the document, ready for JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "featx serve", "version": __version__, "description": "Search in a feature store."},
        "paths": paths,
        "components": {
            "schemas": {"Error": {"type": "object", "properties": {"error": {"type": "string"}}}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    failed = {
        "description": "What is wrong.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    schema: dict[str, Any] = {"type": "object"} if endpoint.answers.endswith("json") else {"type": "string"}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": [] if endpoint.asks is None else _parameters(endpoint.asks.model_json_schema()),
        "responses": {
            "200": {"description": "The answer.", "content": {endpoint.answers: {"schema": schema}}},
            "default": failed,
        },
    }
    if endpoint.body:
        operation["requestBody"] = {
            "required": True,
            "content": {endpoint.body: {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    needed = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in needed,
            "description": one.get("description", ""),
            "schema": {key: value for key, value in one.items() if key not in ("description", "title")},
        }
        for name, one in schema.get("properties", {}).items()
    ]

"""What a front end needs to know of the site to make its forms: the account, its fields, and the switches in force."""

from typing import Any

from aiohttp import web

from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.endpoints import Access, Endpoints
from server.web.schemas.site import SiteDescription

endpoints = Endpoints("site")


@endpoints.get("/api/site/", access=Access.PUBLIC, response=SiteDescription)
async def get_site(request: web.Request) -> Any:
    """Describe the accounts of this site: what signs in, which fields a registration has, which switches are on."""
    return _description(request.app[SETTINGS])


def _description(settings: Settings) -> dict[str, Any]:
    account = settings.account
    return {
        "name": settings.site_name,
        "login_field": settings.login_field,
        "account": {
            "username": account.username,
            "shown_as": account.shown_as,
            "fields": {
                "type": "object",
                "properties": {each.name: each.schema for each in account.fields},
                "required": [each.name for each in account.fields if each.is_required],
            },
            "written_by": {each.name: each.written_by for each in account.fields},
            "read_by": {each.name: account.readers_of(each) for each in account.fields},
        },
        "activation_by_letter": settings.send_activation_email,
        "password_retyped_at_registration": settings.user_create_password_retype,
        "roles": [role.name for role in settings.roles],
    }

"""FastAPI with asyncpg, written by hand: a pool, a dependency that finds the caller, models that make the responses."""

import os
import time
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

KEY = os.environ["SIGNING_KEY"]
ACCOUNT = """
    select u.id, u.username, u.email from users u
    join sessions s on s.user_id = u.id and s.id = $2 and s.expires_at > now()
    where u.id = $1 and u.is_active
"""
PROFILE = """
    select p.id, p.user_id, u.username as user, p.description, p.location, p.date_joined, p.updated_on, p.is_creator
    from profiles p join users u on u.id = p.user_id
"""


class User(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    email: str
    id: int
    username: str


class Profile(BaseModel):
    id: int
    user: str
    description: str | None
    location: str
    date_joined: datetime
    updated_on: datetime
    is_creator: bool


class ProfileEdit(BaseModel):
    description: str | None = None
    location: str | None = Field(None, max_length=30)
    is_creator: bool | None = None


class Refresh(BaseModel):
    refresh: str


class Access(BaseModel):
    access: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)
bearer = HTTPBearer()


async def account_of(token: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """The account of a token whose session is valid, and the claims of the token."""
    try:
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Token is invalid") from None
    if claims.get("token_type") != kind:
        raise HTTPException(401, "Token has wrong type")
    async with app.state.pool.acquire() as connection:
        row = await connection.fetchrow(ACCOUNT, int(claims["user_id"]), claims["sid"])
    if row is None:
        raise HTTPException(401, "User not found")
    return row, claims


async def current_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> Any:
    return (await account_of(credentials.credentials, "access"))[0]


Caller = Annotated[Any, Depends(current_user)]


async def find_profile(connection: asyncpg.Connection, profile_id: int) -> Any:
    row = await connection.fetchrow(PROFILE + " where p.id = $1", profile_id)
    if row is None:
        raise HTTPException(404, "Not found.")
    return row


@app.get("/auth/users/me/", response_model=User)
async def read_me(caller: Caller) -> Any:
    return dict(caller)


@app.get("/api/accounts/profile/{profile_id}", response_model=Profile)
async def read_profile(profile_id: int, caller: Caller) -> Any:
    async with app.state.pool.acquire() as connection:
        return dict(await find_profile(connection, profile_id))


@app.put("/api/accounts/profile/{profile_id}", response_model=Profile)
async def edit_profile(profile_id: int, edit: ProfileEdit, caller: Caller) -> Any:
    async with app.state.pool.acquire() as connection:
        profile = await find_profile(connection, profile_id)
        if profile["user_id"] != caller["id"]:
            raise HTTPException(403, "You do not have permission to perform this action.")
        given = dict(profile) | edit.model_dump(exclude_unset=True)
        changed = await connection.fetchrow(
            "update profiles set description = $2, location = $3, is_creator = $4 where id = $1 returning updated_on",
            profile_id,
            given["description"],
            given["location"],
            given["is_creator"],
        )
    return given | dict(changed)


@app.get("/api/accounts/all-profiles", response_model=list[Profile])
async def list_profiles(caller: Caller, after: int = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Any:
    async with app.state.pool.acquire() as connection:
        rows = await connection.fetch(PROFILE + " where p.id > $1 and u.is_active order by p.id limit $2", after, limit)
    return [dict(row) for row in rows]


@app.post("/auth/jwt/refresh/", response_model=Access)
async def refresh(given: Refresh) -> Any:
    _, claims = await account_of(given.refresh, "refresh")
    now = int(time.time())
    fresh = {"token_type": "access", "iat": now, "exp": now + 300, "jti": uuid4().hex}
    return {"access": jwt.encode(claims | fresh, KEY, algorithm="HS256")}

"""fastapi-users with SQLAlchemy and asyncpg, after the full example of its documentation, on the table of accounts."""

import os
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, IntegerIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyUserDatabase
from pydantic import ConfigDict
from sqlalchemy import BigInteger
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["SIGNING_KEY"]
engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
async_session_maker = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(Base):
    """What fastapi-users needs of an account, in the table of the service. Every account counts as verified."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    username: Mapped[str]
    email: Mapped[str]
    hashed_password: Mapped[str] = mapped_column("password")
    is_active: Mapped[bool]
    is_superuser: Mapped[bool] = mapped_column("is_staff")
    is_verified = True


class UserRead(schemas.CreateUpdateDictModel):
    """The user object of the contract."""

    model_config = ConfigDict(from_attributes=True)
    email: str
    id: int
    username: str


class UserUpdate(schemas.BaseUserUpdate):
    pass


class UserManager(IntegerIDMixin, BaseUserManager[User, int]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def get_async_session() -> AsyncIterator[AsyncSession]:
    async with async_session_maker() as session:
        yield session


async def get_user_db(session: AsyncSession = Depends(get_async_session)):  # noqa: B008  as FastAPI requires
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(user_db: SQLAlchemyUserDatabase = Depends(get_user_db)):  # noqa: B008
    yield UserManager(user_db)


def get_jwt_strategy() -> JWTStrategy:
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


auth_backend = AuthenticationBackend(
    name="jwt", transport=BearerTransport(tokenUrl="auth/jwt/login"), get_strategy=get_jwt_strategy
)
fastapi_users = FastAPIUsers[User, int](get_user_manager, [auth_backend])

app = FastAPI()
app.include_router(fastapi_users.get_users_router(UserRead, UserUpdate), prefix="/users")

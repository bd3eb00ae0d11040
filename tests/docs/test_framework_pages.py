"""What the frameworks' pages show is stopped when its client leaves, as they say."""

from typing import Any

import pytest

from .conftest import Paste
from .pages import Block
from .visiting import visit

pytestmark = pytest.mark.anyio

SHOWN = {
    "docs/quick-start.md": ("fastapi", "/report"),
    "docs/frameworks/fastapi.md": ("fastapi", "/report", "/with-connection", "/stream"),
    "docs/frameworks/starlette.md": ("starlette", "/report"),
    "docs/frameworks/litestar.md": ("litestar", "/report"),
    "docs/frameworks/quart.md": ("quart", "/report"),
    "docs/frameworks/bare.md": (None, "/"),
}


def app_with(path: str, pasted: list[tuple[Block, dict[str, Any]]]) -> Any:
    """The app of the first block that has it."""
    return next(names["app"] for block, names in pasted if path == "/" or f'"{path}"' in block.code)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the pages' own


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:litestar")
@pytest.mark.parametrize(
    ("page", "path"),
    [(page, path) for page, (_, *paths) in SHOWN.items() for path in paths],
)
async def test_the_handlers_that_a_page_shows_are_stopped(
    page: str, path: str, paste: Paste, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = SHOWN[page][0]
    if needed is not None:
        pytest.importorskip(needed)
    sent = await visit(app_with(path, paste(page)), path)
    assert not any(
        message["type"] == "http.response.body" and not message.get("more_body") for message in sent
    )
    if path == "/with-connection":
        assert "closed" in capsys.readouterr().out
    if path == "/stream" or page == "docs/quick-start.md":
        assert "stopped" in capsys.readouterr().out


async def test_the_order_that_the_page_shows_is_answered(paste: Paste) -> None:
    pytest.importorskip("fastapi")
    app = app_with("/order", paste("docs/frameworks/fastapi.md"))
    sent = await visit(app, "/order", method="POST", leave_when=None)
    assert sent[0]["status"] == 200

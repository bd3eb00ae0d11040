"""What the frameworks' pages show is stopped when its client leaves, as they say."""

import pytest

from .conftest import Run
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


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the pages' own


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:litestar")
@pytest.mark.parametrize(
    ("page", "path"),
    [(page, path) for page, (_, *paths) in SHOWN.items() for path in paths],
)
async def test_the_handlers_that_a_page_shows_are_stopped(
    page: str, path: str, run_page: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = SHOWN[page][0]
    if needed is not None:
        pytest.importorskip(needed)
    names = run_page(page)
    sent = await visit(names["app"], path)
    assert not any(
        message["type"] == "http.response.body" and not message.get("more_body") for message in sent
    )
    if path == "/with-connection":
        assert "closed" in capsys.readouterr().out
    if path == "/stream" or page == "docs/quick-start.md":
        assert "stopped" in capsys.readouterr().out


async def test_the_order_that_the_page_shows_is_answered(run_page: Run) -> None:
    pytest.importorskip("fastapi")
    names = run_page("docs/frameworks/fastapi.md")
    sent = await visit(names["app"], "/order", method="POST", leave_when=None)
    assert sent[0]["status"] == 200

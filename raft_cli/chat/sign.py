"""Where a request goes and what it carries, by the openai SDK: key, organisation, Azure deployment. Sends nothing."""

from typing import TYPE_CHECKING

from raft_cli.chat.keys import Access
from raft_cli.errors import ChatError

if TYPE_CHECKING:
    import httpx2


async def sign_request(model: str, access: Access) -> tuple[str, dict[str, str]]:
    """Return the URL and the headers of a request to `model`; nothing is sent.

    Raises:
        ChatError: The SDK refuses the address or the key.
    """
    import httpx2
    import openai

    class Capture(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: "httpx2.Request") -> "httpx2.Response":
            self.request = request
            return httpx2.Response(200, json={}, request=request)

    capture = Capture()
    http_client = httpx2.AsyncClient(transport=capture)
    client: openai.AsyncOpenAI
    try:
        if access.azure:
            client = openai.AsyncAzureOpenAI(
                azure_endpoint=access.base_url,
                api_version=access.version,
                api_key=access.key or None,
                azure_ad_token=access.token or None,
                http_client=http_client,
            )
        else:
            client = openai.AsyncOpenAI(api_key=access.key or "none", base_url=access.base_url, http_client=http_client)
        async with client:
            await client.post("/chat/completions", body={"model": model}, cast_to=httpx2.Response)
    except (openai.OpenAIError, httpx2.InvalidURL, UnicodeError) as error:
        raise ChatError(f"cannot ask {access.address}: {access.redact(str(error))}") from error
    kept = {"authorization", "api-key", "content-type", "accept", "user-agent"}
    headers = {
        name: value for name, value in capture.request.headers.items() if name in kept or name.startswith("openai-")
    }
    return str(capture.request.url), headers

import pytest

pytest.register_assert_rewrite("stream_contract")

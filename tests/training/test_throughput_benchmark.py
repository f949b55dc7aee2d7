"""What the benchmark of training's throughput calls a problem."""

import pytest

from benchmarks.throughput import find_problems, print_table


def figures(speeds=(1.0,) + (20.0,) * 9, memory=(2000.0,) * 10, traces=1):
    parts = [{"images_per_second": s, "memory_mb": m} for s, m in zip(speeds, memory, strict=True)]
    return {"steps": 2000, "parts": parts, "sizes": 500, "traces": traces}


def test_a_slow_start_a_first_growth_and_single_slow_parts_are_none(capsys):
    fine = figures(speeds=(1.0, 20, 20, 20, 20, 20, 20, 12, 20, 20), memory=(1000.0, *(2000.0,) * 8, 2090.0))
    assert find_problems(fine) == []
    print_table(fine)
    assert "batches of 500 sizes, traced 1 times" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"speeds": (1.0, 20, 20, 20, 20, 18, 18, 18, 18, 18)}, "slower by 10.0%"),
        ({"memory": [2000.0 + 40 * part for part in range(10)]}, "grew by 9.3%"),
        ({"traces": 3}, "traced 3 times"),
    ],
)
def test_decay_growth_and_retracing_are_named(wrong, text):
    problems = find_problems(figures(**wrong))
    assert len(problems) == 1 and text in problems[0]

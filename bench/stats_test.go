package main

import (
	"math"
	"testing"
	"time"
)

func ms(values ...float64) (out []time.Duration) {
	for _, v := range values {
		out = append(out, time.Duration(v*float64(time.Millisecond)))
	}
	return out
}

// The expected values are SciPy's: mannwhitneyu(a, b, method='asymptotic').
func TestMannWhitney(t *testing.T) {
	cases := []struct {
		a, b []time.Duration
		want float64
	}{
		{ms(1, 2, 3, 4, 5), ms(6, 7, 8, 9, 10), 0.01219},
		{ms(1, 2, 3, 4, 5), ms(1, 2, 3, 4, 5), 1},
		{ms(1, 1, 2, 2, 3), ms(2, 2, 3, 3, 4), 0.12512},
		{ms(1, 1, 1), ms(1, 1, 1), 1},
	}
	for _, c := range cases {
		if got := mannWhitney(c.a, c.b); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("mannWhitney(%v, %v) = %.5f, want %.5f", c.a, c.b, got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	in := ms(4, 1, 3, 2)
	if got := median(in); got != 2500*time.Microsecond {
		t.Errorf("median %v", got)
	}
	if got := quantile(in, 1); got != 4*time.Millisecond {
		t.Errorf("maximum %v", got)
	}
	if median(nil) != 0 {
		t.Error("the median of nothing")
	}
}

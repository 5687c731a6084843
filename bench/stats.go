package main

import (
	"math"
	"slices"
	"time"
)

func median(in []time.Duration) time.Duration { return quantile(in, 0.5) }

// quantile interpolates between the neighbours, q from 0 to 1.
func quantile(in []time.Duration, q float64) time.Duration {
	if len(in) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(in))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + time.Duration((at-float64(low))*float64(sorted[high]-sorted[low]))
}

// mannWhitney gives the two-sided p that two samples come from one distribution (Mann and Whitney 1947), by the
// normal approximation with the corrections for ties and continuity: good for samples of more than 20.
func mannWhitney(a, b []time.Duration) float64 {
	type value struct {
		d     time.Duration
		first bool
	}
	all := make([]value, 0, len(a)+len(b))
	for _, d := range a {
		all = append(all, value{d, true})
	}
	for _, d := range b {
		all = append(all, value{d, false})
	}
	slices.SortFunc(all, func(x, y value) int { return int(min(1, max(-1, x.d-y.d))) })
	var ranks, ties float64 // of a; Σ(t³-t)
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].d == all[i].d {
			j++
		}
		rank := float64(i+1+j) / 2
		for _, v := range all[i:j] {
			if v.first {
				ranks += rank
			}
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	total := n + m
	u := ranks - n*(n+1)/2
	sigma := math.Sqrt(n * m / 12 * (total + 1 - ties/(total*(total-1))))
	if sigma == 0 {
		return 1
	}
	z := (math.Abs(u-n*m/2) - 0.5) / sigma
	return min(1, math.Erfc(max(0, z)/math.Sqrt2))
}

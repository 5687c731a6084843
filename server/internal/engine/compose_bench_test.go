package engine

import (
	"testing"
	"time"

	"postroom/server/internal/core"
)

// resetArgs is a usual request for a reset, the same as core/benches' and e2e/mattermost's.
func resetArgs(now time.Time) core.PrepareArgs {
	return core.PrepareArgs{
		Kind: "reset", RequestedAt: now.UnixMilli(), Limit: core.AccountLimit{PerHour: 5},
		Account: &core.Account{ID: "abcdefghijklmnopqrstuvwxyz", Email: "ann@example.com", Username: "ann", Locale: "en", EmailVerified: true, PasswordStamp: 1_763_000_000_000},
		Site: core.Site{
			URL: "https://chat.example.com", Name: "Acme Chat", DefaultLocale: "en", SupportEmail: "help@example.com",
			FromAddress: "noreply@example.com", FromName: "Acme Chat", ResetLifetimeMS: 3_600_000, VerifyLifetimeMS: 86_400_000,
		},
		Key: "0123456789abcdefghijklmnopqrstuv",
	}
}

// BenchmarkComposeResetMail is one call as the job makes it: token, both parts, MIME, sealed, JSON both ways.
func BenchmarkComposeResetMail(b *testing.B) {
	e := openCore(b)
	args := resetArgs(now)
	b.ReportAllocs()
	var out core.PrepareResult
	for b.Loop() {
		out = core.PrepareResult{}
		if err := e.Call(b.Context(), core.OpPrepare, now, args, &out); err != nil {
			b.Fatal(err)
		}
	}
	if out.Mail == nil {
		b.Fatalf("no mail: %+v", out)
	}
	b.ReportMetric(float64(out.Mail.Size), "octets/mail")
}

// BenchmarkStart is what a fresh instance costs the call that needs one.
func BenchmarkStart(b *testing.B) {
	e := openCore(b)
	for b.Loop() {
		inst, err := e.pool.start(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := inst.module.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

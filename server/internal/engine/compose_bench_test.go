package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"postroom/server/internal/core"
)

// resetArgs is the fixture that core/benches measures too.
func resetArgs(b *testing.B) core.PrepareArgs {
	b.Helper()
	in, err := os.ReadFile(filepath.Join(root, "contract", "fixtures", "prepare", "reset_en.request.json"))
	if err != nil {
		b.Fatal(err)
	}
	var r struct{ Args core.PrepareArgs }
	if err := json.Unmarshal(in, &r); err != nil {
		b.Fatal(err)
	}
	r.Args.RequestedAt = now.UnixMilli()
	return r.Args
}

// BenchmarkComposeResetMail is one call as the job makes it: token, both parts, MIME, sealed, JSON both ways.
func BenchmarkComposeResetMail(b *testing.B) {
	e := openCore(b)
	args := resetArgs(b)
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

// BenchmarkOpenResetMail is the same mail opened, as the courier does: little but AES-256-GCM and base64, and so about
// what sealing is of the above.
func BenchmarkOpenResetMail(b *testing.B) {
	e := openCore(b)
	args := resetArgs(b)
	var sealed core.PrepareResult
	if err := e.Call(b.Context(), core.OpPrepare, now, args, &sealed); err != nil {
		b.Fatal(err)
	}
	var out core.OpenResult
	for b.Loop() {
		err := e.Call(b.Context(), core.OpOpen, now, core.OpenArgs{Key: args.Key, MailID: sealed.Mail.ID, Sealed: sealed.Mail.Sealed}, &out)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(out.Message)), "octets/mail")
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

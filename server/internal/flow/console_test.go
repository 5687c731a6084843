package flow

import (
	"strings"
	"testing"
)

func TestTheConsoleIsForSystemAdmins(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		user    string
		admin   bool
		status  int
		scripts int
	}{{"an admin", true, 200, 1}, {"a user", false, 403, 0}, {"", false, 401, 0}} {
		answer, err := s.flows.Console(s.Context(), c.admin, Asker{UserID: c.user, AcceptLanguage: "en"})
		if err != nil {
			t.Fatal(err)
		}
		page := answer.Page
		if page == nil || page.Status != c.status || strings.Count(page.HTML, "<script") != c.scripts || page.Headers["Cache-Control"] != "no-store" {
			t.Errorf("%q: %+v", c.user, page)
		}
	}
}

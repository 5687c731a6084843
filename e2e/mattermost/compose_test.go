// Package mattermost measures what one reset mail costs Mattermost, by its own packages and in its own steps
// (channels/app/email SendPasswordResetEmail, platform/shared/mail sendMail, which has no function of its own for this).
package mattermost

import (
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"code.sajari.com/docconv/v2"
	gomail "gopkg.in/mail.v2"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/shared/i18n"
	"github.com/mattermost/mattermost/server/v8/platform/shared/templates"
)

func BenchmarkComposeResetMail(b *testing.B) {
	_, here, _, _ := runtime.Caller(0)
	built := filepath.Join(filepath.Dir(here), "..", "..", ".build", "mattermost")
	if _, err := os.Stat(built); err != nil {
		b.Fatalf("Mattermost is not built (run: make test, or make demo, once): %v", err)
	}
	container, err := templates.New(filepath.Join(built, "templates"))
	if err != nil {
		b.Fatal(err)
	}
	if err := i18n.TranslationsPreInit(filepath.Join(built, "i18n")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var octets int64
	for b.Loop() {
		html := render(b, container)
		octets = write(b, html, io.Discard)
	}
	b.ReportMetric(float64(octets), "octets/mail")
}

// render is SendPasswordResetEmail up to sendMail, with the token's minting.
func render(b *testing.B, container *templates.Container) string {
	b.Helper()
	token := model.NewToken("password_recovery", `{"UserId":"abcdefghijklmnopqrstuvwxyz","Email":"ann@example.com"}`)
	t := i18n.GetUserTranslations("en")
	site := map[string]any{"SiteName": "Acme Chat"}
	html, err := container.RenderToString("reset_body", templates.Data{Props: map[string]any{
		"EmailInfo1": t("api.templates.email_info1"), "EmailInfo2": t("api.templates.email_info2"),
		"EmailInfo3": t("api.templates.email_info3", site), "SupportEmail": "help@example.com",
		"Footer":   t("api.templates.email_footer"),
		"FooterV2": t("api.templates.email_footer_v2", map[string]any{"CurrentYear": time.Now().Year()}),
		"SiteURL":  "https://chat.example.com", "Title": t("api.templates.reset_body.title"),
		"SubTitle": t("api.templates.reset_body.subTitle"), "Info": t("api.templates.reset_body.info"),
		"ButtonURL": "https://chat.example.com/reset_password_complete?token=" + token.Token,
		"Button":    t("api.templates.reset_body.button"), "QuestionTitle": t("api.templates.questions_footer.title"),
		"QuestionInfo": t("api.templates.questions_footer.info"),
	}})
	if err != nil {
		b.Fatal(err)
	}
	return html
}

// write is sendMail without the SMTP commands.
func write(b *testing.B, html string, to io.Writer) int64 {
	b.Helper()
	text, _, err := docconv.ConvertHTML(strings.NewReader(html), true)
	if err != nil {
		text = "" // as Mattermost does
	}
	from := mail.Address{Name: "Acme Chat", Address: "noreply@example.com"}
	m := gomail.NewMessage(gomail.SetCharset("UTF-8"))
	m.SetHeaders(map[string][]string{
		"From": {from.String()}, "To": {"ann@example.com"}, "Subject": {"[Acme Chat] Reset your password"},
		"Content-Transfer-Encoding": {"8bit"}, "Auto-Submitted": {"auto-generated"}, "Precedence": {"bulk"},
		"Reply-To": {from.String()}, "Message-ID": {"<" + model.NewRandomString(16) + "@chat.example.com>"},
	})
	m.SetDateHeader("Date", time.Now())
	m.SetBody("text/plain", text)
	m.AddAlternative("text/html", html)
	written, err := m.WriteTo(to)
	if err != nil {
		b.Fatal(err)
	}
	return written
}

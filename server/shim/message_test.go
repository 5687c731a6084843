package shim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin/plugintest"
	"github.com/stretchr/testify/mock"

	"postroom/server/internal/link"
)

// people is a double of Mattermost: its accounts, their conversations with the bot, and what is posted there.
type people struct {
	*plugintest.API
	users   []*model.User
	posts   map[string][]*model.Post // by channel
	broken  map[string]bool          // users whose conversation can't be opened
	noUsers bool
}

func newPeople(users ...*model.User) *people {
	p := &people{API: &plugintest.API{}, users: users, posts: map[string][]*model.Post{}, broken: map[string]bool{}}
	failed := model.NewAppError("test", "test.app_error", nil, "", http.StatusInternalServerError)
	p.On("EnsureBotUser", mock.Anything).Return("bot", nil)
	p.On("GetUsers", mock.Anything).Return(func(options *model.UserGetOptions) ([]*model.User, *model.AppError) {
		if p.noUsers {
			return nil, failed
		}
		var found []*model.User
		for _, user := range p.users {
			if user.IsInRole(options.Role) && (!options.Active || user.DeleteAt == 0) {
				found = append(found, user)
			}
		}
		from := min(len(found), options.Page*options.PerPage)
		return found[from:min(len(found), from+options.PerPage)], nil
	})
	p.On("GetDirectChannel", "bot", mock.Anything).Return(func(_, user string) (*model.Channel, *model.AppError) {
		if p.broken[user] {
			return nil, failed
		}
		return &model.Channel{Id: "to " + user}, nil
	})
	p.On("GetPostsForChannel", mock.Anything, 0, lookBack).Return(func(channel string, _, _ int) (*model.PostList, *model.AppError) {
		list := model.NewPostList()
		for i, post := range p.posts[channel] {
			post.Id = fmt.Sprint(i)
			list.AddPost(post)
		}
		return list, nil
	})
	p.On("CreatePost", mock.Anything).Return(func(post *model.Post) (*model.Post, *model.AppError) {
		p.posts[post.ChannelId] = append(p.posts[post.ChannelId], post)
		return post, nil
	})
	p.On("LogWarn", mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Maybe()
	p.On("LogError", mock.Anything, mock.Anything, mock.Anything).Maybe()
	return p
}

func admin(id string) *model.User {
	return &model.User{Id: id, Roles: model.SystemUserRoleId + " " + model.SystemAdminRoleId}
}

// count is how many posts each account has been sent, as "anna 1, ben 1".
func (p *people) count() string {
	var counts []string
	for _, user := range p.users {
		if posts := len(p.posts["to "+user.Id]); posts > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", user.Id, posts))
		}
	}
	return strings.Join(counts, ", ")
}

func TestEverySystemAdminIsToldOnceAndNobodyElse(t *testing.T) {
	gone, bot := admin("gone"), admin("robot")
	gone.DeleteAt, bot.IsBot = 1, true
	p := newPeople(admin("anna"), &model.User{Id: "user", Roles: model.SystemUserRoleId}, admin("ben"), gone, bot,
		&model.User{Id: "manager", Roles: model.SystemUserRoleId + " " + model.SystemManagerRoleId})
	words := link.Message{Text: "Mail is paused"}
	for range 2 { // offered again, as the answer to the first was lost
		if err := tellAdmins(p, 7, words); err != nil || p.count() != "anna 1, ben 1" {
			t.Fatal(err, p.count())
		}
	}
	if post := p.posts["to anna"][0]; post.Message != words.Text || post.UserId != "bot" {
		t.Errorf("%+v", post)
	}
	// Another act in the same words is another message; so is the same number with others.
	if err := tellAdmins(p, 8, words); err != nil || p.count() != "anna 2, ben 2" {
		t.Error(err, p.count())
	}
	if err := tellAdmins(p, 7, link.Message{Text: "Mail flows"}); err != nil || p.count() != "anna 3, ben 3" {
		t.Error(err, p.count())
	}
}

func TestAdminsOnEveryPageAreTold(t *testing.T) {
	var users []*model.User
	for i := range 2*adminsAtOnce + 1 {
		users = append(users, admin(fmt.Sprint(i)))
	}
	p := newPeople(users...)
	if err := tellAdmins(p, 1, link.Message{Text: "x"}); err != nil || len(p.posts) != len(users) {
		t.Error(err, len(p.posts))
	}
}

func TestAnAdminWhoCannotBeToldKeepsNobodyFromIt(t *testing.T) {
	p := newPeople(admin("anna"), admin("ben"))
	p.broken["anna"] = true
	if err := tellAdmins(p, 1, link.Message{Text: "x"}); err != nil || p.count() != "ben 1" {
		t.Error(err, p.count())
	}
	p.broken["ben"] = true
	if err := tellAdmins(p, 2, link.Message{Text: "x"}); err == nil {
		t.Error("nobody was told, and that is no failure")
	}
}

// TestAnActIsDoneOnceItIsCarriedOut: one that fails is offered again, and the others with it are not.
func TestAnActIsDoneOnceItIsCarriedOut(t *testing.T) {
	w := newWorld(t)
	p := newPeople(admin("anna"))
	p.On("LogAuditRec", mock.Anything).Return()
	done := w.listen(t)
	k := &keeper{api: p, client: link.Client(w.dir)}
	acts := []link.Act{{ID: 1, Message: &link.Message{Text: "x"}}, {ID: 2, Audit: &link.Audit{Event: "e"}}}
	p.noUsers = true
	k.obey(t.Context(), link.Line{Acts: acts})
	if got := done(); got != "[2]" {
		t.Error(got)
	}
	p.noUsers = false
	k.obey(t.Context(), link.Line{Acts: acts[:1]})
	if got := done(); got != "[1]" || p.count() != "anna 1" {
		t.Error(got, p.count())
	}
	p.On("SendEphemeralPost", "anna", mock.MatchedBy(func(post *model.Post) bool {
		return post.ChannelId == "town" && post.Message == "tested" && post.UserId == "bot"
	})).Return(&model.Post{}).Once()
	k.obey(t.Context(), link.Line{Aside: &link.Aside{UserID: "anna", ChannelID: "town", Text: "tested"}})
	p.AssertExpectations(t)
}

// listen is a service that hears what is done; done gives the newest it heard.
func (w *world) listen(t *testing.T) (done func() string) {
	listener, err := link.Listen(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 8)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+link.PathDone, func(_ http.ResponseWriter, r *http.Request) {
		var done link.Done
		_ = json.NewDecoder(r.Body).Decode(&done)
		heard <- fmt.Sprint(done.IDs)
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return func() string {
		select {
		case ids := <-heard:
			return ids
		default:
			return "nothing"
		}
	}
}

package shim

import (
	"errors"
	"fmt"

	"github.com/mattermost/mattermost/server/public/model"
	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/internal/link"
)

const (
	// adminsAtOnce is how many accounts one question to Mattermost gives, adminPages how many are asked at most.
	adminsAtOnce = 100
	adminPages   = 20
	// lookBack is how many of a conversation's newest posts are searched for an act that was carried out before.
	lookBack = 20
	// actProp names the act in the post that carries it out.
	actProp = "postroom_act"
)

func ensureBot(api plugin.API) (string, error) {
	bot, err := api.EnsureBotUser(&model.Bot{Username: pluginID, DisplayName: "Postroom", Description: "Tells system admins about mail."})
	if err != nil {
		return "", fmt.Errorf("the plugin's bot could not be made: %w", err)
	}
	return bot, nil
}

// tellAdmins sends every system admin a direct message from the plugin's bot. An act that is offered again, as the one
// before it was broken off, tells those who were not told. It fails where nobody could be.
func tellAdmins(api plugin.API, act int64, message link.Message) error {
	bot, err := ensureBot(api)
	if err != nil {
		return err
	}
	admins, err := systemAdmins(api)
	if err != nil {
		return err
	}
	told := len(admins) == 0
	var failed error
	for _, admin := range admins {
		if err := tellUser(api, bot, admin.Id, act, message.Text); err != nil {
			api.LogWarn("a system admin could not be told", "user_id", admin.Id, "error", err.Error())
			failed = err
			continue
		}
		told = true
	}
	if told {
		return nil
	}
	return failed
}

// systemAdmins are those who can read.
func systemAdmins(api plugin.API) ([]*model.User, error) {
	var admins []*model.User
	for page := range adminPages {
		users, appErr := api.GetUsers(&model.UserGetOptions{Role: model.SystemAdminRoleId, Active: true, Page: page, PerPage: adminsAtOnce})
		if appErr != nil {
			return nil, fmt.Errorf("the system admins could not be listed: %w", errors.New(appErr.Error()))
		}
		for _, user := range users {
			if user.DeleteAt == 0 && !user.IsBot && user.IsInRole(model.SystemAdminRoleId) {
				admins = append(admins, user)
			}
		}
		if len(users) < adminsAtOnce {
			break
		}
	}
	return admins, nil
}

func tellUser(api plugin.API, bot, user string, act int64, text string) error {
	channel, appErr := api.GetDirectChannel(bot, user)
	if appErr != nil {
		return errors.New(appErr.Error())
	}
	name := fmt.Sprint(act)
	if posts, appErr := api.GetPostsForChannel(channel.Id, 0, lookBack); appErr == nil && posts != nil {
		for _, post := range posts.Posts {
			// The text too: a database that was put back to an earlier state numbers its acts again.
			if post.UserId == bot && post.GetProp(actProp) == name && post.Message == text {
				return nil
			}
		}
	}
	post := &model.Post{UserId: bot, ChannelId: channel.Id, Message: text}
	post.AddProp(actProp, name)
	if _, appErr := api.CreatePost(post); appErr != nil {
		return errors.New(appErr.Error())
	}
	return nil
}

// sayAside shows one user what nobody else sees.
func sayAside(api plugin.API, aside link.Aside) {
	bot, err := ensureBot(api)
	if err != nil {
		api.LogWarn("the answer to a command could not be shown", "error", err.Error())
		return
	}
	api.SendEphemeralPost(aside.UserID, &model.Post{UserId: bot, ChannelId: aside.ChannelID, Message: aside.Text})
}

package main

import (
	"time"

	"github.com/slack-go/slack"
)

func (w *world) identity() {
	w.step("auth.test", func() []interface{} {
		me, err := w.ada.AuthTest()
		must(err)
		w.adaID = me.UserID
		for _, other := range []struct {
			who *slack.Client
			id  *string
		}{{w.grace, &w.graceID}, {w.linus, &w.linusID}} {
			r, err := other.who.AuthTest()
			must(err)
			*other.id = r.UserID
		}
		bot, err := w.bot.AuthTest()
		must(err)
		w.botID, w.botUser = bot.BotID, bot.UserID
		return facts(me.User, me.Team, me.BotID == "", bot.User, bot.BotID != "")
	})
	w.step("team.info", func() []interface{} {
		t, err := w.ada.GetTeamInfo()
		must(err)
		return facts(t.Name, t.Domain, t.ID != "")
	})
	w.step("users.list, by pages of two", func() []interface{} {
		users, err := w.ada.GetUsers(slack.GetUsersOptionLimit(2), slack.GetUsersOptionPresence(true))
		must(err)
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		return facts(sorted(names))
	})
	w.step("users.info", func() []interface{} {
		u, err := w.ada.GetUserInfo(w.graceID)
		must(err)
		return facts(u.Name, u.RealName, u.Profile.Email, u.IsBot, u.Deleted, u.Updated > 0)
	})
	w.step("users.lookupByEmail", func() []interface{} {
		u, err := w.ada.GetUserByEmail("grace@example.com")
		must(err)
		_, err = w.ada.GetUserByEmail("nobody@example.com")
		return facts(w.name(u.ID), refusal(err))
	})
	w.step("users.identity", func() []interface{} {
		i, err := w.ada.GetUserIdentity()
		must(err)
		return facts(w.name(i.User.ID), i.User.Name, i.Team.ID != "")
	})
	w.step("bots.info", func() []interface{} {
		b, err := w.ada.GetBotInfo(w.botID)
		must(err)
		return facts(b.Name, w.name(b.UserID), b.ID == w.botID)
	})
}

func (w *world) people() {
	w.step("users.profile", func() []interface{} {
		must(w.ada.SetUserRealName("Ada King"))
		must(w.ada.SetUserCustomStatus("Countess & more", ":crown:", time.Now().Add(time.Hour).Unix()))
		p, err := w.grace.GetUserProfile(&slack.GetUserProfileParameters{UserID: w.adaID, IncludeLabels: true})
		must(err)
		must(w.ada.UnsetUserCustomStatus())
		after, err := w.ada.GetUserProfile(&slack.GetUserProfileParameters{})
		must(err)
		return facts(p.RealName, p.FirstName, p.LastName, p.StatusText, p.StatusEmoji, p.StatusExpiration > 0, after.StatusText+after.StatusEmoji == "")
	})
	w.step("users.presence", func() []interface{} {
		must(w.ada.SetUserPresence("away"))
		away, err := w.ada.GetUserPresence(w.adaID)
		must(err)
		must(w.ada.SetUserPresence("auto"))
		must(w.ada.SetUserAsActive())
		auto, err := w.ada.GetUserPresence(w.adaID)
		must(err)
		return facts(away.Presence, away.ManualAway, auto.ManualAway, auto.ConnectionCount)
	})
	w.step("users.prefs", func() []interface{} {
		before, err := w.ada.GetUserPrefs()
		must(err)
		set, err := w.ada.MuteChat(w.random)
		must(err)
		after, err := w.ada.GetUserPrefs()
		must(err)
		return facts(before.UserPrefs.MutedChannels == "", set.UserPrefs.MutedChannels != "", after.UserPrefs.MutedChannels == ","+w.random)
	})
	w.step("dnd", func() []interface{} {
		set, err := w.ada.SetSnooze(5)
		must(err)
		info, err := w.grace.GetDNDInfo(&w.adaID)
		must(err)
		team, err := w.grace.GetDNDTeamInfo([]string{w.adaID, w.graceID})
		must(err)
		own, err := w.ada.GetDNDInfo(nil)
		must(err)
		ended, err := w.ada.EndSnooze()
		must(err)
		return facts(set.SnoozeEnabled, info.Enabled, len(team), team[w.adaID].Enabled, team[w.graceID].Enabled, own.SnoozeRemaining > 200, ended.SnoozeEnabled, refusal(w.ada.EndDND()))
	})
}

func (w *world) groups() {
	var id string
	w.step("usergroups.create", func() []interface{} {
		g, err := w.ada.CreateUserGroup(slack.UserGroup{Name: "Engineers", Handle: "eng", Description: "who build", Prefs: slack.UserGroupPrefs{Channels: []string{w.room}}})
		must(err)
		id = g.ID
		_, err = w.ada.CreateUserGroup(slack.UserGroup{Name: "Engineers"})
		return facts(g.Name, g.Handle, g.Description, g.IsUserGroup, w.names(g.Prefs.Channels), refusal(err))
	})
	w.step("usergroups.update", func() []interface{} {
		empty := ""
		g, err := w.ada.UpdateUserGroup(id, slack.UpdateUserGroupsOptionName("Builders"), slack.UpdateUserGroupsOptionHandle("build"), slack.UpdateUserGroupsOptionDescription(&empty), slack.UpdateUserGroupsOptionChannels([]string{}))
		must(err)
		return facts(g.Name, g.Handle, g.Description == "", len(g.Prefs.Channels))
	})
	w.step("usergroups.users", func() []interface{} {
		g, err := w.ada.UpdateUserGroupMembers(id, w.adaID+","+w.graceID)
		must(err)
		members, err := w.grace.GetUserGroupMembers(id)
		must(err)
		return facts(w.names(g.Users), w.names(members))
	})
	w.step("usergroups.list", func() []interface{} {
		all, err := w.ada.GetUserGroups(slack.GetUserGroupsOptionIncludeUsers(true), slack.GetUserGroupsOptionIncludeCount(true))
		must(err)
		off, err := w.ada.DisableUserGroup(id)
		must(err)
		enabled, err := w.ada.GetUserGroups()
		must(err)
		disabled, err := w.ada.GetUserGroups(slack.GetUserGroupsOptionIncludeDisabled(true))
		must(err)
		on, err := w.ada.EnableUserGroup(id)
		must(err)
		return facts(len(all), w.names(all[0].Users), all[0].UserCount, off.DateDelete > 0, len(enabled), len(disabled), on.DateDelete == 0)
	})
	w.step("emoji.list", func() []interface{} {
		e, err := w.ada.GetEmoji()
		must(err)
		return facts(len(e), e["parrot"])
	})
}

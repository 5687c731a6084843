# Every sentence of the mails. Arguments: $site the site's name, $url its address, $username, $address the
# recipient's address, $support the address to ask for help, $until and $moment a time as `moment` writes it,
# $unit ("minutes" or "hours") and $count how long a link works, $since when the plugin ended, $account and $server
# whose password and where.

moment = { $day } { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year }, { $clock } UTC

reset-subject = Reset your password for { $site }
reset-title = Reset your password
reset-preheader = Choose a new password for { $username } until { $until }.
reset-intro = Someone asked to reset the password of the account { $username } on { $site }. If it was you, choose a new password now.
reset-button = Choose a new password
reset-action = Choose a new password here:
reset-ignore = If you did not ask for this, ignore this email: your password stays as it is.

verify-subject = Confirm your email address for { $site }
verify-title = Confirm your email address
verify-preheader = Confirm that { $address } is your address until { $until }.
verify-intro = The account { $username } on { $site } uses the address { $address }. Please confirm that this address is yours.
verify-button = Confirm this address
verify-action = Confirm this address here:
verify-ignore = If this account is not yours, ignore this email: the address stays unconfirmed.

link-expiry = { $unit ->
    [hours] { $count ->
        [one] You can use this link once within { $count } hour, until { $until }.
       *[other] You can use this link once within { $count } hours, until { $until }.
    }
   *[minutes] { $count ->
        [0] You can use this link once within a minute, until { $until }.
        [one] You can use this link once within { $count } minute, until { $until }.
       *[other] You can use this link once within { $count } minutes, until { $until }.
    }
}
link-fallback = If the button does not work, open this address in your browser:

test-subject = Test email from { $site }
test-title = This test email has arrived
test-preheader = { $site } can send email.
test-intro = A system administrator of { $site } asked for this test email on { $moment }. You are reading it, so the email settings that were tested work.
test-ignore = There is nothing more for you to do.

orphaned-subject = Mail from { $site } will stop at the next restart
orphaned-title = Postroom runs without its plugin
orphaned-preheader = Mail goes on until Mattermost is restarted. Here is the way back.
orphaned-intro = The plugin Postroom has not been running on { $site } since { $since }: Mattermost has given it up after several failures, or it was switched off or removed after that.
orphaned-until = Mattermost still sends its mail through Postroom, which goes on without the plugin, but only until the Mattermost server is restarted. From then on no mail leaves.
orphaned-enable = To go on with Postroom, switch the plugin off and on again in System Console > Plugins, or upload it again if it was removed.
orphaned-back = To send mail without Postroom, as before, run this on the Mattermost server:
orphaned-password = Put the password of { $account } at { $server } in place of PASSWORD; this email does not hold it.
orphaned-remote = Where the server has no local mode, log in with mmctl first and leave out --local; or set the same values in System Console > Environment > SMTP.
orphaned-unknown = To send mail without Postroom, set your mail server in System Console > Environment > SMTP. How it was set before could not be read.

footer-sent = Sent by { $site }, { $url }
footer-support = Do you need help? Write to { $support }

moment = { $day }. { $month ->
    [1] Januar
    [2] Februar
    [3] März
    [4] April
    [5] Mai
    [6] Juni
    [7] Juli
    [8] August
    [9] September
    [10] Oktober
    [11] November
   *[12] Dezember
} { $year }, { $clock } Uhr (UTC)

reset-subject = Passwort für { $site } zurücksetzen
reset-title = Setze dein Passwort zurück
reset-preheader = Neues Passwort für { $username } wählen, bis { $until }.
reset-intro = Jemand möchte das Passwort des Kontos { $username } auf { $site } zurücksetzen. Wenn du das warst, wähle jetzt ein neues Passwort.
reset-button = Neues Passwort wählen
reset-action = Hier kannst du ein neues Passwort wählen:
reset-ignore = Wenn du das nicht angefordert hast, ignoriere diese E-Mail: Dein Passwort bleibt, wie es ist.

verify-subject = E-Mail-Adresse für { $site } bestätigen
verify-title = Bestätige deine E-Mail-Adresse
verify-preheader = Bestätige bis { $until }, dass { $address } deine Adresse ist.
verify-intro = Das Konto { $username } auf { $site } verwendet die Adresse { $address }. Bitte bestätige, dass diese Adresse dir gehört.
verify-button = Adresse bestätigen
verify-action = Hier kannst du die Adresse bestätigen:
verify-ignore = Wenn dieses Konto nicht dir gehört, ignoriere diese E-Mail: Die Adresse bleibt dann unbestätigt.

link-expiry = { $unit ->
    [hours] { $count ->
        [one] Du kannst diesen Link einmal innerhalb von { $count } Stunde verwenden, bis { $until }.
       *[other] Du kannst diesen Link einmal innerhalb von { $count } Stunden verwenden, bis { $until }.
    }
   *[minutes] { $count ->
        [0] Du kannst diesen Link einmal innerhalb der nächsten Minute verwenden, bis { $until }.
        [one] Du kannst diesen Link einmal innerhalb von { $count } Minute verwenden, bis { $until }.
       *[other] Du kannst diesen Link einmal innerhalb von { $count } Minuten verwenden, bis { $until }.
    }
}
link-fallback = Falls die Schaltfläche nicht funktioniert, öffne diese Adresse im Browser:

test-subject = Test-E-Mail von { $site }
test-title = Diese Test-E-Mail ist angekommen
test-preheader = { $site } kann E-Mails versenden.
test-intro = Eine Person mit Systemadministrationsrechten auf { $site } hat diese Test-E-Mail angefordert ({ $moment }). Du liest sie gerade, also funktionieren die getesteten E-Mail-Einstellungen.
test-ignore = Du musst nichts weiter tun.

orphaned-subject = E-Mails von { $site } enden mit dem nächsten Neustart
orphaned-title = Postroom läuft ohne sein Plugin
orphaned-preheader = E-Mails gehen hinaus, bis Mattermost neu gestartet wird. Hier steht der Weg zurück.
orphaned-intro = Das Plugin Postroom läuft auf { $site } nicht mehr, seit { $since }: Mattermost hat es nach mehreren Abstürzen aufgegeben, oder es wurde danach abgeschaltet oder entfernt.
orphaned-until = Mattermost schickt seine E-Mails weiterhin über Postroom. Das geht auch ohne das Plugin, aber nur, bis der Mattermost-Server neu gestartet wird. Danach geht keine E-Mail mehr hinaus.
orphaned-enable = Um bei Postroom zu bleiben, schalte das Plugin unter System Console > Plugins aus und wieder ein, oder lade es neu hoch, falls es entfernt wurde.
orphaned-back = Um E-Mails wie früher ohne Postroom zu senden, führe auf dem Mattermost-Server diesen Befehl aus:
orphaned-password = Ersetze PASSWORD durch das Passwort von { $account } bei { $server }; in dieser E-Mail steht es nicht.
orphaned-remote = Hat der Server keinen lokalen Modus, melde dich zuerst mit mmctl an und lass --local weg; oder trage dieselben Werte unter System Console > Environment > SMTP ein.
orphaned-unknown = Um E-Mails ohne Postroom zu senden, trage deinen Mailserver unter System Console > Environment > SMTP ein. Wie er vorher eingestellt war, ließ sich nicht lesen.

footer-sent = Gesendet von { $site }, { $url }
footer-support = Brauchst du Hilfe? Schreib an { $support }

[ "$(cat answer.txt)" = "/help 27204" ]

"""The one composition root: the only room that knows which concrete parts make a session."""

from agent.app.means import tree_of as tree_of
from agent.app.models import REPLAY_PREFIX as REPLAY_PREFIX
from agent.app.models import check_model as check_model
from agent.app.models import known_models as known_models
from agent.app.opening import fork_session as fork_session
from agent.app.opening import import_session as import_session
from agent.app.opening import new_sessions as new_sessions
from agent.app.opening import open_session as open_session
from agent.app.opening import session_folder as session_folder
from agent.app.opening import shutdown as shutdown
from agent.app.options import Options as Options
from agent.app.walls import Reached as Reached
from agent.app.walls import explain_network as explain_network
from agent.app.walls import reached as reached
from agent.llm.pace import Pace as Pace
from agent.llm.pace import Share as Share
